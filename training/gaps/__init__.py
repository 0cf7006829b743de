"""What nobody could answer: questions without a good answer, grouped by meaning, and the answers that somebody writes.

    feedback -> open questions, grouped, with the nearest documents    grouping, questions
    an answer -> a document, judged as the answer of the group         writing
    afterwards: is it found, and what do users say of it?              answered

A written answer is three things at once: a document that is found, a training pair, and a test question.
"""
