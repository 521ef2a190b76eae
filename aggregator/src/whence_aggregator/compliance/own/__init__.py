"""Rules that users write: read, checked and described here. No I/O: a process of its own evaluates their conditions.

expression, syntax   the text of a condition as a tree, with bounds
documented           the types of the documented evidence, by kind of subject
checking             every member, function and type in a condition; nothing in it can observe that a member is absent
rule_file            the YAML of rules, each error with its line
"""
