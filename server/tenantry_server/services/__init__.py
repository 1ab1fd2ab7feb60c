"""The use cases: one class a noun, one transaction a method. No transport here.

A service's first argument is the call in progress; the organization is the one the call is scoped to. Ids come as the
caller spelt them. Methods marked `@changes` are written as the body of their transaction and get a Change instead.
"""
