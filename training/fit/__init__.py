"""Examples in, a trained model folder out. The base model's folder and every live index stay untouched.

finetune, finetune_reranker, pretrain, the doors                embedder, reranker, pretrain; what can be set: spec
-> stages with their settings, and a model to begin with        stages, start, teacher; all of `quarry train`
-> what is known of all rows at once                            table
-> every batch of the run, decided before the first step        batches
-> the run from the first check to the finished folder          run; its folder: run_folder
-> steps from the last whole checkpoint                         steps; between them: callback, dev_score, progress
-> tokens, losses, the trainer of sentence-transformers         collation, losses, retromae, trainer; the open model: trainable
-> a model folder that others can read                          model_folder
"""
