// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

const (
	// StorageClass is the name of the default StorageClass.
	StorageClass = "local"
	// volumeCount is the number of volumes of the default StorageClass, which has no provisioner.
	volumeCount = 4
)

// Object is an object of the API server that comes with the node.
type Object struct {
	// Collection is the URL path that the object is created at.
	Collection string
	// Manifest is the object as YAML.
	Manifest []byte
}

// volume contains the values of a PersistentVolume's template.
type volume struct{ Name, Path, Node, StorageClass string }

// Objects returns the objects that the API server needs before the node starts: the permissions of
// the cluster's DNS, and the default StorageClass with its volumes.
func (c Config) Objects() ([]Object, error) {
	const rbac, storage = "/apis/rbac.authorization.k8s.io/v1", "/apis/storage.k8s.io/v1"
	type source struct {
		collection, template string
		values               any
	}
	sources := []source{
		{rbac + "/clusterroles", "dns-role.yaml.tmpl", nil},
		{rbac + "/clusterrolebindings", "dns-binding.yaml.tmpl", nil},
		{storage + "/storageclasses", "storage-class.yaml.tmpl", volume{StorageClass: StorageClass}},
	}
	for _, v := range c.volumes() {
		sources = append(sources, source{"/api/v1/persistentvolumes", "volume.yaml.tmpl", v})
	}
	objects := make([]Object, 0, len(sources))
	for _, s := range sources {
		manifest, err := render(s.template, s.values)
		if err != nil {
			return nil, err
		}
		objects = append(objects, Object{Collection: s.collection, Manifest: manifest})
	}
	return objects, nil
}

func (c Config) volumes() []volume {
	volumes := make([]volume, 0, volumeCount)
	for i := range volumeCount {
		number := strconv.Itoa(i + 1)
		volumes = append(volumes, volume{
			Name: StorageClass + "-" + number, Path: filepath.Join(c.Layout.Volumes(), number),
			Node: c.Layout.Name, StorageClass: StorageClass,
		})
	}
	return volumes
}

// makeVolumes creates the folders of the volumes. They belong to root: the kubelet gives them to
// the fsGroup of the pod that mounts them.
func (c Config) makeVolumes() error {
	for _, v := range c.volumes() {
		if err := os.MkdirAll(v.Path, 0o755); err != nil {
			return fmt.Errorf("creating the folder of volume %s: %w", v.Name, err)
		}
	}
	return nil
}
