"""An OpenAI-compatible chat endpoint. It is never called unless the user names one.

    prompt -> one answer, with retries                endpoint.ask
    messages -> the answer as it is written           stream.streamed

The key comes from an environment variable and goes to the configured host only, never in the clear to another machine.
"""
