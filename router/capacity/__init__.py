"""What a model that one hosts oneself needs and costs, by arithmetic: parameters, memory, speed and US dollars.

Knows architectures, accelerators and rooflines. Knows no weights, no engine and no measurement: what it says is a
ceiling or an estimate, and says which.
"""
