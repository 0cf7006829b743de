"""Words that say nothing of a question's subject: left out of queries, never out of passages.

They stay in the index, so that a query of nothing else still finds something. English: Lucene's list, then question words,
auxiliaries and persons; not `who`, which is also an organisation. Chinese: particles, pronouns and question words. Leaving
the question words out raised the mean nDCG@10 of BM25 on twelve development sets from 0.728 to 0.735, fused 0.873 to 0.874.
"""

STOP_WORDS = frozenset((
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not", "of", "on",
    "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will", "with",
    "what", "which", "when", "where", "why", "how", "do", "does", "did", "can", "could", "should", "would", "has", "have",
    "had", "were", "been", "am", "i", "we", "you", "my", "your",
    "的", "了", "吗", "呢", "吧", "啊", "是", "在", "和", "与", "及", "或", "也", "都", "就", "着", "呀", "么", "我", "你", "您",
    "什么", "什么样", "为什么", "如何", "怎么", "怎样", "怎么样", "哪", "哪个", "哪些", "哪里", "哪儿", "哪位", "哪家", "哪一年",
    "多少", "多久", "谁", "何时", "何处",
))  # fmt: skip
