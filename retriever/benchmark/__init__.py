"""mteb's task kinds on local data, scored by mteb itself.

folders -> which tasks their layout can serve     task_data
-> data, sampled when asked                       task_data.read_rows, search_data.read_search
-> an mteb task, and our embedder as its model    mteb_tasks, mteb_model
-> score, cached by the data's digest             run.run_benchmark, the door
"""
