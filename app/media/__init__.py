"""Files that come with a request or out of a task: fetching, keeping and handing them out.

`inbound` is the only place that opens a connection to an address a caller chose. `destination`
reads such an address, `addresses` judges what it resolves to, `line` makes sure that no server can
hold us longer or send us more than we agreed to.

`store` keeps what was made, in a `place`: a folder (`local`) or a bucket (`s3`). `links` open one
file of it for a while, and `kinds` says what is kept at all.
"""
