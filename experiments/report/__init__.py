"""The report: one HTML file about one run, which opens without a network and sends no request.

`facts` makes the parts of it, from the run's tables and from its champions, who trade the bars once more; `packing`
writes long columns down small; `bundle` joins the scripts of `page/`; `html` puts all of it into one file beside the
drawing library of `vendor/`; `report` does all that in order.
"""
