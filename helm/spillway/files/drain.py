# Before vLLM is told to stop: drain.py METRICS_URL LEAST_S MOST_S waits until the engine has nothing to do.
import sys
import time
import urllib.request

url, least_s, most_s = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
begun = time.monotonic()
while (waited := time.monotonic() - begun) < least_s + most_s:
    try:
        lines = urllib.request.urlopen(url, timeout=5).read().decode().splitlines()  # noqa: S310
    except OSError as error:
        if isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", None), TimeoutError):
            continue  # it is so busy that it has not even this to say
        break  # an engine that answers no more has nothing to finish
    busy = [line for line in lines if line.startswith(("vllm:num_requests_running", "vllm:num_requests_waiting"))]
    if waited >= least_s and not any(float(line.rsplit(" ", 1)[1]) for line in busy):
        break
    time.sleep(min(1.0, max(0.05, least_s / 10)))
