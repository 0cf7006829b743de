"""What users did in, judgements out.

an action of a user (click, thumb, answer, note) -> FeedbackEvent       events
-> appended to an SQLite file, never changed                            log.FeedbackLog, the door
-> who stands behind it: robots, bursts and contrarians apart           voters
-> clicks as preferences; what a query's visitors chose                 clicks, choices
-> judgements that stand, by query and passage                          judgements
"""
