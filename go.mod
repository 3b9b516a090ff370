module github.com/taskgroup-operator/taskgroup-operator

go 1.26
