module github.com/taskgroup-operator/taskgroup-operator/hack

go 1.26
