"""The report: one HTML file about one run, which opens without a network and sends no request.

`sources` reads the run's tables with suspicion; `summary`, `curves`, `clades`, `heat` and `tree_facts` make the parts
of it; `packing` writes long columns down small; `bundle` joins the scripts of `page/`; `html` puts all of it into one
file beside the drawing library of `vendor/`; `report` does all that in order.
"""
