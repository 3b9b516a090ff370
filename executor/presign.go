package executor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/taskgroup-operator/taskgroup-operator/api/v1alpha1"
	"github.com/taskgroup-operator/taskgroup-operator/contract"
)

const (
	// maxPresign is what Signature Version 4 allows a URL, in seconds.
	maxPresign = 7 * 24 * 60 * 60
	// urlsVolume is the volume of the Secret with the signed URLs.
	urlsVolume = "presigned-urls"
	// suspensions are attempts beyond those that the retries allow: a group that is
	// suspended while it runs begins another one, which spends no budget.
	suspensions = 2
	// maxSigned bounds the URLs of a group, so that they fit in a Secret: with keys as
	// short as the runner's they take 40 bytes each. It is checked before anything is
	// created.
	maxSigned = 20_000
	// defaultInfrastructureLimit is the API's.
	defaultInfrastructureLimit = 3
)

// Signer makes URLs that need no credentials of the store, with its own.
type Signer interface {
	// Sign returns a URL for each permission, valid for lifetime or for a shorter
	// time, and until when they are valid. The endpoint, if any, takes the place of the
	// one that is configured. Errors hold no URL.
	Sign(ctx context.Context, endpoint string, lifetime time.Duration, permissions []contract.Permission) (urls []string, until time.Time, err error)
}

// validatePresign says what is wrong with the options of presigned URLs.
func (o *Options) validatePresign() error {
	if !o.Presign {
		return nil
	}
	switch endpoint, err := url.Parse(o.PresignEndpoint); {
	case !isS3(o.outputs()):
		return errorf(ErrInvalid, "presign is for assets and outputs that are s3://bucket/…")
	case o.PresignSeconds < 0 || o.PresignSeconds > maxPresign:
		return errorf(ErrInvalid, "presign_seconds is %d: from 1 to %d, seven days, which is the most that a signed URL may have", o.PresignSeconds, maxPresign)
	case err != nil || endpoint.User != nil || o.PresignEndpoint != "" && (endpoint.Host == "" || endpoint.RawQuery != ""):
		return errorf(ErrInvalid, "presign_endpoint: want a URL of a host, without a user and a query")
	}
	return nil
}

// mountURLs adds to a spec the Secret that the signed URLs will be in. Its name is of
// this call alone, so that it never is that of a group which had the same name.
func mountURLs(tg *v1alpha1.TaskGroup) error {
	pod := &v1alpha1.PodOptions{}
	if tg.Spec.Pod != nil {
		tg.Spec.Pod.DeepCopyInto(pod)
	}
	for i := range pod.Volumes {
		if pod.Volumes[i].Name == urlsVolume {
			return errorf(ErrInvalid, "pod.volumes: the name %s is that of presign: take another one", urlsVolume)
		}
	}
	for _, mount := range pod.VolumeMounts {
		if path := strings.TrimRight(mount.MountPath, "/"); path == contract.SignedURLsDir || strings.HasPrefix(path, contract.SignedURLsDir+"/") {
			return errorf(ErrInvalid, "pod.volumeMounts: %s is the place of presign: take another one", mount.MountPath)
		}
	}
	var random [5]byte
	if _, err := rand.Read(random[:]); err != nil {
		return errorf(ErrInternal, "naming a Secret: %w", err)
	}
	pod.Volumes = append(pod.Volumes, v1alpha1.Volume{Name: urlsVolume, Secret: &corev1.SecretVolumeSource{
		SecretName: tg.Name + "-urls-" + hex.EncodeToString(random[:]), DefaultMode: new(int32(0o440)),
	}})
	pod.VolumeMounts = append(pod.VolumeMounts, v1alpha1.VolumeMount{Name: urlsVolume, MountPath: contract.SignedURLsDir, ReadOnly: true})
	tg.Spec.Pod = pod
	return nil
}

// urlsSecretOf is the name of the Secret that a spec mounts for signed URLs.
func urlsSecretOf(spec *v1alpha1.TaskGroupSpec) *corev1.SecretVolumeSource {
	if spec.Pod == nil {
		return nil
	}
	for i := range spec.Pod.Volumes {
		if v := &spec.Pod.Volumes[i]; v.Name == urlsVolume {
			return v.Secret
		}
	}
	return nil
}

// signed are the URLs of what a group reads, which are signed before there is a
// group: credentials that are missing are better found then.
type signed struct {
	permissions []contract.Permission
	urls        []string
	until       time.Time
}

func (e *Executor) sign(ctx context.Context, permissions []contract.Permission) (*signed, error) {
	if e.signer == nil {
		return nil, errorf(ErrConfiguration, "presign: this executor cannot sign URLs")
	}
	lifetime := time.Duration(e.options.PresignSeconds) * time.Second
	if lifetime == 0 {
		lifetime = maxPresign * time.Second
	}
	urls, until, err := e.signer.Sign(ctx, e.options.PresignEndpoint, lifetime, permissions)
	if err != nil {
		return nil, errorf(ErrConfiguration, "signing URLs for the pods: %w", err)
	}
	return &signed{permissions, urls, until}, nil
}

// signInputs signs what a group reads, and makes sure that there is room for the rest.
func (e *Executor) signInputs(ctx context.Context, tg *v1alpha1.TaskGroup) (*signed, error) {
	inputs := inputPermissions(&tg.Spec)
	if n := len(inputs) + len(outputPermissions(tg)); n > maxSigned {
		return nil, errorf(ErrInvalid, "presign: the group needs %d signed URLs, at most %d fit in a Secret: send fewer tasks in one group, or lower retries or infrastructure_retries (%d attempts)",
			n, maxSigned, attemptsOf(&tg.Spec))
	}
	return e.sign(ctx, inputs)
}

// createURLs creates the Secret with all signed URLs of a group. One that is there is
// the group's own: no other call knows its name.
func (e *Executor) createURLs(ctx context.Context, tg *v1alpha1.TaskGroup, inputs *signed) error {
	source := urlsSecretOf(&tg.Spec)
	if source == nil {
		return errorf(ErrInternal, "TaskGroup %s has no Secret for its signed URLs", tg.Name)
	}
	outputs, err := e.sign(ctx, outputPermissions(tg))
	if err != nil {
		return err
	}
	until := inputs.until
	if outputs.until.Before(until) {
		until = outputs.until
	}
	packed, err := pack(tg, until, inputs, outputs)
	if err != nil {
		return err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: tg.Namespace, Name: source.SecretName, Labels: tg.Labels,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1alpha1.GroupVersion.String(), Kind: "TaskGroup", Name: tg.Name, UID: tg.UID,
			}},
		},
		Immutable: new(true),
		Data:      map[string][]byte{contract.SignedURLsKey: packed},
	}
	err = persist(ctx, sendPatience, func(ctx context.Context) error { return e.cluster.client.Create(ctx, secret.DeepCopy()) })
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return explain(fmt.Sprintf("creating Secret %s/%s for presign, which takes the role taskgroup-executor-presign", tg.Namespace, secret.Name), err)
}

func pack(tg *v1alpha1.TaskGroup, until time.Time, parts ...*signed) ([]byte, error) {
	all := contract.NewSignedURLs(string(tg.UID), placeOf(tg), until)
	for _, part := range parts {
		for i, permission := range part.permissions {
			if err := all.Add(permission, part.urls[i]); err != nil {
				return nil, errorf(ErrInternal, "packing the signed URLs: %w", err)
			}
		}
	}
	packed, err := all.Encode()
	if errors.Is(err, contract.ErrSignedURLsTooLarge) {
		return nil, errorf(ErrInvalid, "presign: send fewer tasks in one group, or lower retries or infrastructure_retries: %w", err)
	} else if err != nil {
		return nil, errorf(ErrInternal, "packing the signed URLs: %w", err)
	}
	return packed, nil
}

// inputPermissions are for all that a spec names and pods read from s3.
func inputPermissions(spec *v1alpha1.TaskGroupSpec) []contract.Permission {
	uris := map[string]bool{}
	for _, assets := range []v1alpha1.AssetURIs{spec.Assets.Functions, spec.Assets.Hooks, spec.Assets.Inputs} {
		for _, uri := range assets {
			if isS3(string(uri)) {
				uris[string(uri)] = true
			}
		}
	}
	permissions := make([]contract.Permission, 0, len(uris))
	for uri := range uris {
		permissions = append(permissions, contract.Permission{Access: contract.AccessGet, URI: uri})
	}
	slices.SortFunc(permissions, func(a, b contract.Permission) int { return strings.Compare(a.URI, b.URI) })
	return permissions
}

// outputPermissions returns the permissions for everything that the runner writes below
// the group's location in every possible attempt, and reads again: the manifest, to
// distinguish its own commit from another one, and what earlier attempts completed. The
// number of segments of a stream is not bounded, so that they have no URLs: the streams
// of a pod with signed URLs are uploaded when a task has finished.
func outputPermissions(tg *v1alpha1.TaskGroup) []contract.Permission {
	var permissions []contract.Permission
	add := func(uri string, access ...contract.Access) {
		for _, a := range access {
			permissions = append(permissions, contract.Permission{Access: a, URI: uri})
		}
	}
	parallel := tg.Spec.Execution == v1alpha1.Parallel
	attempts := attemptsOf(&tg.Spec)
	for attempt := range attempts {
		at := contract.AttemptURI(outputsOf(tg), string(tg.UID), attempt+1)
		if !parallel {
			add(contract.ManifestURI(at), contract.AccessCreate, contract.AccessGet)
			add(contract.StartMarkerURI(at), contract.AccessCreate)
		}
		for i := range tg.Spec.Tasks {
			node := contract.NodeID(tg.Spec.Tasks[i].NodeID)
			for _, key := range []contract.AssetKey{contract.AssetOutput, contract.AssetStdout, contract.AssetStderr, contract.AssetError} {
				add(contract.AssetURI(at, node, key), contract.AccessPut)
			}
			if parallel {
				add(contract.TaskManifestURI(at, node), contract.AccessCreate, contract.AccessGet)
				add(contract.TaskStartMarkerURI(at, node), contract.AccessCreate)
			} else if attempt+1 < attempts {
				add(contract.AssetURI(at, node, contract.AssetOutput), contract.AccessGet)
				if i > 0 {
					// There are at most as many checkpoints as tasks before the last one.
					add(contract.CheckpointURI(at, i), contract.AccessCreate, contract.AccessGet)
				}
			}
		}
	}
	return permissions
}

// attemptsOf is how many attempts of a group have URLs.
func attemptsOf(spec *v1alpha1.TaskGroupSpec) int32 {
	attempts := int32(1 + suspensions + defaultInfrastructureLimit)
	if r := spec.Retries; r != nil {
		attempts += r.Limit
		if r.InfrastructureLimit != nil {
			attempts += *r.InfrastructureLimit - defaultInfrastructureLimit
		}
	}
	return attempts
}

func isS3(uri string) bool { return strings.HasPrefix(uri, "s3://") }
