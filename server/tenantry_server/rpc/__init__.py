"""The gRPC edge of the core API: who may call (`policy`), what surrounds a call (`interceptors`), what a refusal looks like
(`status`), how records are spelt (`convert`), and one thin servicer a noun.
"""
