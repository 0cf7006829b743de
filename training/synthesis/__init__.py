"""Training rows that a language model writes, as KaLM-Embedding made its own (arXiv 2501.01028, section 2.1).

personas, drawn from a file of any size               personas
-> phase 1: instructions, each asked for as a persona tasks
-> phase 2: a row for an instruction, without persona tasks
-> asked, several at a time; answers are kept         asking
-> answers that can be used, or why not               answers
-> rows in a file                                     run.synthesize; what is asked for: spec

Nothing is sent anywhere but to the endpoint that the user names.
"""
