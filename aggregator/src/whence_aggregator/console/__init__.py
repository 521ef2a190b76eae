"""The console: pages for people, made of answers of the API. No I/O is done here, and no query of its own is made.

A page is a function of a visit. It asks the API through `Visit.ask`, as the person who visits, so that it shows what
that person may read and nothing else. It returns a `WebPage`, whose template `frame` renders.
"""
