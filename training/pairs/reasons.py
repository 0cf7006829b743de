"""Why a pair, a line or a file gave no row."""

from quarry.indexer.messages import Message

# lines and files
BAD_LINE = Message.of("pairs.bad_line", "lines that could not be read")
NO_PAIR = Message.of("pairs.no_pair_in_row", "rows without two texts that belong together")

# general cleaning
EMPTY = Message.of("pairs.empty", "one of the texts is empty")
NOT_WRITING = Message.of("pairs.not_writing", "mostly signs or digits, or letters that make no words")
BROKEN = Message.of("pairs.broken", "broken characters or encoded data")
OTHER_SCRIPT = Message.of("pairs.other_script", "neither Chinese nor Latin script")
ATTACK = Message.of("pairs.attack", "markup that runs, commands that destroy, or orders to a language model")
SPAM = Message.of("pairs.spam", "advertising, bait or a heap of words or links")
SHORT = Message.of("pairs.short", "one of the texts is too short")
LONG = Message.of("pairs.long", "query too long")
SAME = Message.of("pairs.same", "both texts say the same in the same words")

# duplicates
COPY = Message.of("pairs.copy", "copy of an earlier pair")
GENERIC = Message.of("pairs.generic", "query stands for too many passages")

# semantic filter
UNRELATED = Message.of("pairs.unrelated", "no more related, says the scorer, than texts put together at random")
BELOW = Message.of("pairs.below", "scored below the threshold")
NOT_BEST = Message.of("pairs.not_best", "not in the share with the highest scores")
CLEANING = (EMPTY, NOT_WRITING, BROKEN, OTHER_SCRIPT, ATTACK, SPAM, SHORT, LONG, SAME)
