"""Why a document is not among the results of a search, and the smallest change that brings it back.

    a name -> the documents that it means                       document
    -> blocked by a filter or an operator, shown, or a copy?    loss
    -> else its ranks at every stage say where it is lost       places, loss
    -> changes are made one after the other until it is shown   changes, spelling
    -> what else is to be known of it                           remarks

The door is `why_not` in `report`. Nothing is proposed that was not tried: a change is the search that shows the document.
"""
