// SPDX-License-Identifier: Apache-2.0

package executor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/taskgroup-operator/taskgroup-operator/contract"
	"github.com/taskgroup-operator/taskgroup-operator/executor"
)

// A dispatcher's whole way with a group.
func Example() {
	ctx := context.Background()
	config, namespace, err := executor.ClusterSettings{Namespace: "team-a"}.Connect()
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := executor.NewClient(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	cluster := executor.NewCluster(executor.ClusterConfig{Client: client, Namespace: namespace})
	defer cluster.Close()
	options := executor.DefaultOptions()
	options.Assets = "file:///data/covalent"
	e, err := executor.New(executor.Config{Options: options, Cluster: cluster})
	if err != nil {
		fmt.Println(err)
		return
	}
	group := contract.TaskGroupMetadata{DispatchID: "6f1c6d2e", NodeIDs: []contract.NodeID{3}, TaskGroupID: 3}
	handle, err := e.Send(ctx, []contract.TaskSpec{{ElectronID: 3, Args: []contract.NodeID{0}}}, contract.ResourceMap{
		Functions: map[contract.NodeID]string{3: e.UploadURI(group, "function-3")},
		Inputs:    map[contract.NodeID]string{0: e.UploadURI(group, "node_0")},
	}, group)
	if err != nil {
		fmt.Println(err)
		return
	}
	outcome, err := e.Poll(ctx, handle)
	data := &outcome
	if errors.Is(err, executor.ErrCancelled) {
		data = nil
	}
	updates, err := e.Receive(ctx, group, data)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(updates[0].Status.Status)
}

func ExampleName() {
	fmt.Println(executor.Name("6f1c6d2e-3a52-4b7e-9a3f-0b8f3c1d2e4a", 3))
	// Output: tg-22dff98d8e32f5b1f321e355
}

// After a cancellation every node is CANCELLED, and no request is sent.
func ExampleExecutor_Receive_cancelled() {
	e, err := executor.New(executor.Config{Options: executor.DefaultOptions(), Cluster: executor.NewCluster(executor.ClusterConfig{})})
	if err != nil {
		fmt.Println(err)
		return
	}
	updates, err := e.Receive(context.Background(), contract.TaskGroupMetadata{DispatchID: "d1", NodeIDs: []contract.NodeID{3}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	raw, _ := json.Marshal(updates)
	fmt.Println(string(raw))
	// Output: [{"dispatch_id":"d1","node_id":3,"status":{"STATUS":"CANCELLED"},"assets":{}}]
}

func ExampleCodeOf() {
	code, retry := executor.CodeOf(fmt.Errorf("sending: %w", executor.ErrUnavailable))
	fmt.Println(code, retry)
	// Output: Unavailable true
}
