"""Threads of numpy's products: one inside, whichever thread asks, and as many as before afterwards."""

from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import threadpool_limits

from quarry.indexer.stores.blas import _blas, one_thread


def threads():
    return {one["num_threads"] for one in _blas().info()}


def inside():
    with one_thread():
        with one_thread():  # as where a search compares vectors, and then tokens
            within = threads()
        return within | threads()


def test_one_thread_inside_and_as_many_as_before_afterwards():
    with threadpool_limits(limits=2, user_api="blas"):
        before = threads()
    found = [inside()]
    with ThreadPoolExecutor(1) as pool:  # a guard's thread, after the main one
        found.append(pool.submit(inside).result())
    found.append(inside())
    assert found == [{1}] * 3
    with threadpool_limits(limits=2, user_api="blas"):
        inside()
        assert threads() == before
