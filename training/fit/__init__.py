"""Examples in, a trained model folder out. The base model's folder and every live index stay untouched.

finetune, finetune_reranker, the doors                          embedder, reranker; what can be set: spec
-> every batch of the run, decided before the first step        batches
-> the run from the first check to the finished folder          run; its folder: run_folder
-> steps from the last whole checkpoint                         steps; between them: callback, dev_score, progress
-> tokens, losses, the trainer of sentence-transformers         collation, losses, trainer; the open model: trainable
-> a model folder that others can read                          model_folder
"""
