// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"regexp"
	"strings"
	"testing"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
)

// TestWhatKubectlShows holds the columns, and the commands of docs/taskgroups.md.
func TestWhatKubectlShows(t *testing.T) {
	t.Parallel()
	tg := functions("shown", "whoami", "raises")
	tg.Spec.DispatchID = "dispatch-1"
	key := create(t, tg)
	if _, err := cluster.Run(t.Context(), "-n", namespace, "wait", "tg/shown", "--for=condition=Finished", "--timeout=90s"); err != nil {
		t.Fatal(err)
	}
	awaitReason(t, key, v1alpha1.ReasonTaskError)
	for args, want := range map[string]string{
		"get tg shown":         `^NAME +STATUS +DONE +ATTEMPT +AGE\nshown +TaskError +1/2 +1 +\d+s\n$`,
		"get tg shown -o wide": `^NAME +STATUS +DONE +ATTEMPT +MESSAGE +QUEUE +DISPATCH +NODE +AGE\nshown +TaskError +1/2 +1 +Task 1: ValueError: böse.* +dispatch-1 +\S+ +\d+s\n`,
		"get covalent":         `(?m)^shown +TaskError`,
		"get tg --field-selector spec.dispatchID=dispatch-1 -o name": `^taskgroup.kubernetes.covalent.xyz/shown\n$`,
		"describe tg shown": `(?s)Warning +TaskError +\S+ +taskgroup-operator +Task 1: ValueError: böse`,
		"logs -l kubernetes.covalent.xyz/taskgroup=shown --tail=-1": `(?m)^before$`,
		"explain tg.spec.tasks.nodeID":                              `Covalent's electron_id`,
	} {
		out, err := cluster.Run(t.Context(), append([]string{"-n", namespace}, strings.Fields(args)...)...)
		if err != nil || !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("kubectl %s: %v\n%s\nwant %s", args, err, out, want)
		}
	}
}

// TestMetrics are served to those who may read them only.
func TestMetrics(t *testing.T) {
	t.Parallel()
	awaitReason(t, create(t, commandGroup("counted", "true")), v1alpha1.ReasonCompleted)
	for _, args := range [][]string{
		{"-n", namespace, "create", "serviceaccount", "scraper"},
		{"-n", namespace, "create", "serviceaccount", "stranger"},
		{"create", "clusterrolebinding", "e2e-scraper", "--clusterrole=taskgroup-metrics-reader", "--serviceaccount=" + namespace + ":scraper"},
	} {
		if _, err := cluster.Run(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	ip, err := cluster.Run(t.Context(), "-n", system, "get", "pods", "-l", "app.kubernetes.io/name=taskgroup-operator", "-o", "jsonpath={.items[0].status.podIP}")
	if err != nil {
		t.Fatal(err)
	}
	const scrape = `
import ssl, sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1])
if sys.argv[2]:
    request.add_header("Authorization", "Bearer " + sys.argv[2])
try:
    print(urllib.request.urlopen(request, context=ssl._create_unverified_context(), timeout=10).read().decode())
except urllib.error.HTTPError as error:
    print("HTTP", error.code)
`
	for account, want := range map[string]string{
		"scraper":  `(?m)^taskgroup_finished_total\{reason="Completed"\} [1-9]`,
		"stranger": `^HTTP 403`,
		"":         `^HTTP 401`,
	} {
		token := ""
		if account != "" {
			if token, err = cluster.Run(t.Context(), "-n", namespace, "create", "token", account); err != nil {
				t.Fatal(err)
			}
		}
		out, err := cluster.Run(t.Context(), "-n", namespace, "exec", "workbench", "--", "python3", "-c", scrape, "https://"+ip+":8443/metrics", strings.TrimSpace(token))
		if err != nil || !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("%q gets %v, %.300s; want %s", account, err, out, want)
		}
	}
}
