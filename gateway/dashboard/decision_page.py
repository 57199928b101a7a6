"""Why one request was answered as it was, in sentences. Knows what states and stop reasons mean; knows no HTML."""

from collections.abc import Mapping
from typing import Any

from gateway.dashboard import numbers
from gateway.ledger.decisions import AttemptReport, DecisionReport
from gateway.transcripts.store import QUESTION

_STOPPED = {
    "accepted": "{model} answered, for its score reached the threshold of its tier.",
    "last_stage": "{model} answered: it is the last tier, whose answer is taken whatever its score.",
    "best_seen": "{model} had the best answer of those that were paid for, and none that was left was worth its price.",
    "best_so_far": "{model} had the best answer of those that were paid for, and no later tier gave a better one.",
    "failed_verification": "{model} answered although a verifier failed its answer, as it failed every other one.",
    "fallback": "{model} answered as a fallback, for no model of the strategy could be called with success.",
    "released": "{model} answered, streamed before its end was there: the beginning was good enough.",
    "budget_exhausted": "{model} had the best answer of those that were paid for, and no budget was left for more.",
    "scorer_abstained": "{model} answered as the safe model, for the scorer could judge none of the answers.",
}
_ENDED = {
    "cached": "The same request had been answered before: the answer came from the cache, and no model was called.",
    "failed": "No model could answer.",
    "cancelled": "The client went away before the answer was complete.",
    "lost": "The gateway was stopped before the request ended. What may have been billed is entered as an estimate.",
}


def verdict(report: DecisionReport) -> str:
    """The ending in one sentence."""
    if report.status is None:
        return "The request is under way."
    if report.status in _ENDED:
        return _ENDED[report.status]
    model = report.answered_model or "A model"
    if report.policy is None:
        return f"{model} was asked for by its name, and answered."
    if len(report.attempts) == 1 and report.stop_reason == "last_stage":
        return f"{model} answered: it is the policy's only tier."
    return _STOPPED.get(report.stop_reason or "", "{model} answered.").format(model=model)


def ending(attempt: AttemptReport) -> str:
    """What became of one call, in one sentence."""
    score, threshold = numbers.probability(attempt.score), numbers.probability(attempt.threshold)
    if attempt.state is None:
        return "The call is under way."
    if attempt.state == "failed":
        status = f", HTTP status {attempt.error_status}" if attempt.error_status else ""
        return f"The call failed: {attempt.error_kind or 'unknown error'}{status}."
    if attempt.state == "cancelled":
        return "The call was cut off before its answer was complete."
    if attempt.kind == "proposal":
        return "It proposed an answer, for another model to make one of several."
    if attempt.kind == "shadow":
        return "It was asked to compare with, and nobody was given its answer."
    if attempt.score is None:
        return "The answer was taken without a score." if attempt.state == "accepted" else "The answer has no score."
    if attempt.threshold is None:
        return f"The answer scored {score}; no threshold stood in its way."
    if attempt.state == "accepted":
        return f"The answer scored {score} and reached the threshold of {threshold}."
    return f"The answer scored {score}, below the threshold of {threshold}."


def usage_words(attempt: AttemptReport) -> str:
    """How the counts behind the amounts came to be known."""
    words = {
        "provider": "Counts as the provider told them.",
        "counted": "Counts taken here, for the provider told none.",
        "estimated": "An estimate, for the provider told no counts.",
    }
    if attempt.usage_source is None:
        return "Nothing may be billed." if attempt.state is not None else ""
    return words.get(attempt.usage_source, "")


_ENTERED = {
    "unsure": "Entered at tier {tier}, as usual: category {category} is likeliest, but p={p} is not sure enough.",
    "asks_all": "Entered at tier {tier}, as usual: category {category}, p={p}, asks every tier.",
    "unlike": "Entered at tier {tier}, as usual: the request is unlike those that the categories were learned from.",
    "failed": "Entered at tier {tier}, as usual: the category could not be told.",
}


def entry_words(report: DecisionReport) -> str | None:
    """Where the request entered its cascade, in a sentence; None where that goes by no category."""
    for step in report.steps:
        if "entered_at_tier" in step:
            told = {"tier": step["entered_at_tier"], "category": step.get("category"), "p": ""}
            if step.get("probability") is not None:
                told["p"] = numbers.probability(step["probability"])
            skipped = ", ".join(step.get("skipped") or ())
            plain = f"Entered at tier {{tier}}: category {{category}}, p={{p}}. Not asked: {skipped}."
            return _ENTERED.get(step.get("why") or "", plain).format(**told)
    return None


def plan_steps(report: DecisionReport) -> list[Mapping[str, Any]]:
    """How a plan decided, step by step."""
    return [step for step in report.steps if "entered_at_tier" not in step]


def step_models(step: Mapping[str, Any]) -> list[str]:
    """The models that a plan had in mind."""
    tables = [value for value in step.values() if isinstance(value, Mapping)]
    return sorted({str(model) for table in tables for model in table})


def step_rows(step: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """What it believed of each of them, figure by figure; what is of no model stands alone."""
    models, rows = step_models(step), []
    for name, value in step.items():
        words = name.replace("_", " ")
        if isinstance(value, Mapping):
            rows.append((words, [_figure(value.get(model)) for model in models]))
        elif value is not None and not isinstance(value, list):
            rows.append((f"{words}: {_figure(value)}", [""] * len(models)))
    return rows


def question_of(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The messages of a transcript: who speaks, and what is said, as text."""
    messages = said.get(QUESTION, {}).get("messages", [])
    return [(str(message.get("role", "")), _spoken(message)) for message in messages]


def answer_words(answer: Mapping[str, Any]) -> str:
    """An answer of a transcript, as text."""
    return _spoken({"content": answer.get("text"), "tool_calls": answer.get("tool_calls")}) or "(nothing)"


def _spoken(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    parts = content if isinstance(content, list) else [content]
    told = [part if isinstance(part, str) else _part(part) for part in parts if part is not None]
    called = [call.get("function") or {} for call in message.get("tool_calls") or ()]
    calls = [f"{function.get('name')}({function.get('arguments')})" for function in called]
    return "\n".join([*told, *calls])


def _part(part: Any) -> str:
    if isinstance(part, Mapping) and isinstance(part.get("text"), str):
        return str(part["text"])
    return f"[{part.get('type', 'part')}]" if isinstance(part, Mapping) else str(part)


def _figure(value: object) -> str:
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
