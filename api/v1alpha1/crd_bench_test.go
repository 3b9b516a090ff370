// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"fmt"
	"strconv"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	schemadefaulting "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/common"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// BenchmarkValidation measures what the API server spends on the CRD's schema
// and rules, in a create and in a write of the status:
//
//	go test ./api/v1alpha1 -run '^$' -bench Validation
func BenchmarkValidation(b *testing.B) {
	v := newValidators(b)
	for _, tasks := range []int{1, 20, 256} {
		created := v.sampleGroup(b, tasks)
		written := withStatus(b, created, tasks)
		b.Run(fmt.Sprintf("create/tasks=%d", tasks), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				requireNone(b, v.create(b, created))
			}
		})
		b.Run(fmt.Sprintf("status/tasks=%d", tasks), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				requireNone(b, v.writeStatus(b, written, created))
			}
		})
	}
}

// validators do what the API server's strategies for custom resources and their
// statuses do (k8s.io/apiextensions-apiserver/pkg/registry/customresource); that
// package itself would make etcd's client a dependency.
type validators struct {
	structural    *schema.Structural
	whole, status validation.SchemaValidator
	rules         *cel.Validator
}

func newValidators(t testing.TB) *validators {
	root := readCRD(t).Spec.Validation.OpenAPIV3Schema
	structural, err := schema.NewStructural(root)
	if err != nil {
		t.Fatal(err)
	}
	whole, _, err := validation.NewSchemaValidator(root)
	if err != nil {
		t.Fatal(err)
	}
	statusSchema := root.Properties["status"]
	status, _, err := validation.NewSchemaValidator(&statusSchema)
	if err != nil {
		t.Fatal(err)
	}
	return &validators{structural, whole, status, cel.NewValidator(structural, true, celconfig.PerCallLimit)}
}

func (v *validators) create(t testing.TB, obj *unstructured.Unstructured) field.ErrorList {
	errs := validation.ValidateCustomResource(nil, obj.Object, v.whole)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, v.structural, obj.Object)...)
	found, _ := v.rules.Validate(t.Context(), nil, v.structural, obj.Object, nil, celconfig.RuntimeCELCostBudget)
	return append(errs, found...)
}

func (v *validators) update(t testing.TB, obj, old *unstructured.Unstructured) field.ErrorList {
	correlated := common.NewCorrelatedObject(obj.Object, old.Object, &model.Structural{Structural: v.structural})
	errs := validation.ValidateCustomResourceUpdate(nil, obj.Object, old.Object, v.whole, validation.WithRatcheting(correlated))
	return append(errs, v.unchanged(t, obj, old, correlated)...)
}

func (v *validators) writeStatus(t testing.TB, obj, old *unstructured.Unstructured) field.ErrorList {
	correlated := common.NewCorrelatedObject(obj.Object, old.Object, &model.Structural{Structural: v.structural})
	errs := validation.ValidateCustomResourceUpdate(field.NewPath("status"), obj.Object["status"], old.Object["status"],
		v.status, validation.WithRatcheting(correlated.Key("status")))
	return append(errs, v.unchanged(t, obj, old, correlated)...)
}

// unchanged is what the two kinds of update have in common: the rules of spec run
// when only the status is written, too.
func (v *validators) unchanged(t testing.TB, obj, old *unstructured.Unstructured, correlated *common.CorrelatedObject) field.ErrorList {
	errs := listtype.ValidateListSetsAndMaps(nil, v.structural, obj.Object)
	found, _ := v.rules.Validate(t.Context(), nil, v.structural, obj.Object, old.Object, celconfig.RuntimeCELCostBudget, cel.WithRatcheting(correlated))
	return append(errs, found...)
}

// sampleGroup is a chain of Covalent functions: each takes the output of the one
// before and an input from outside. The API server has filled in the presets.
func (v *validators) sampleGroup(t testing.TB, tasks int) *unstructured.Unstructured {
	tg := &v1alpha1.TaskGroup{}
	tg.APIVersion, tg.Kind = v1alpha1.GroupVersion.String(), "TaskGroup"
	tg.Namespace, tg.Name, tg.UID, tg.ResourceVersion = "default", "sample", "6f1c", "1"
	tg.Spec.DispatchID = "6f1c"
	tg.Spec.Assets = &v1alpha1.Assets{
		Outputs:   "file:///results/6f1c",
		Functions: map[string]v1alpha1.AssetURI{},
		Inputs:    map[string]v1alpha1.AssetURI{"1000": "file:///results/1000/output"},
	}
	for i := range tasks {
		task := v1alpha1.TaskSpec{NodeID: v1alpha1.NodeID(i), Kwargs: map[string]v1alpha1.NodeID{"shift": 1000}}
		if i > 0 {
			task.Args = []v1alpha1.NodeID{task.NodeID - 1}
		}
		tg.Spec.Tasks = append(tg.Spec.Tasks, task)
		tg.Spec.Assets.Functions[strconv.Itoa(i)] = v1alpha1.AssetURI(fmt.Sprintf("file:///functions/%d.pkl", i))
	}
	created := toUnstructured(t, tg)
	v.setDefaults(created)
	return created
}

// setDefaults sets the defaults of the schema, as the API server does.
func (v *validators) setDefaults(obj *unstructured.Unstructured) {
	schemadefaulting.Default(obj.Object, v.structural)
}

// withStatus is the group with the states of all tasks written.
func withStatus(t testing.TB, created *unstructured.Unstructured, tasks int) *unstructured.Unstructured {
	var tg v1alpha1.TaskGroup
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(created.Object, &tg); err != nil {
		t.Fatal(err)
	}
	for i := range tasks {
		tg.Status.Tasks = append(tg.Status.Tasks, v1alpha1.TaskStatus{NodeID: v1alpha1.NodeID(i), State: v1alpha1.TaskRunning})
	}
	return toUnstructured(t, &tg)
}

func toUnstructured(t testing.TB, tg *v1alpha1.TaskGroup) *unstructured.Unstructured {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(tg)
	if err != nil {
		t.Fatal(err)
	}
	return &unstructured.Unstructured{Object: object}
}

func requireNone(t testing.TB, errs field.ErrorList) {
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
}
