"""The run folder and everything that writes into it while a run goes on.

Import from the modules: only those that training needs import Lightning, which takes seconds.
"""
