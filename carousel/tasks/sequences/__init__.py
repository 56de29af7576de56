"""Sequences as several tasks read them: series of numbers, sounds and texts, and the steps that a network reads.

columns, tables, listings, kinds     which columns and files hold what
recordings, objects, values, rows    sounds, data frames, numbers
examples                             the sequences of some data, with their names, classes and groups
front_ends                           from a sequence to its steps
steps                                the steps of many sequences in one array
splits, metrics                      the parts of data with classes, and how good predicted classes are
"""
