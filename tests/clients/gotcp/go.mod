module taskdash/tests/clients/gotcp

go 1.24
