"""Covalent's server as the plugin meets it: its files, and its transfers of them."""

import base64
import json

from covalent._file_transfer import FileTransfer
from covalent._workflow.transportable_object import TransportableObject
from covalent_taskgroup_plugin.references import Reference


class Server:
    """The files of a dispatch on the server's machine, and how the server uploads and downloads them."""

    def __init__(self, folder):
        self.folder = folder

    def file(self, name, value):
        """Store a value as the server does, and return the path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(TransportableObject(value).serialize())
        return path

    def upload(self, executor, group, key, path):
        """Ask for the URI of an object and copy it there, as upload_asset_for_nodes does."""
        uri = executor.get_upload_uri(group, key)
        copy(f"file://{path}", uri)
        return uri

    def download(self, uri, name):
        """Copy an object to a file, as Asset.download does, and return the path."""
        path = self.folder / name
        copy(uri, f"file://{path}")
        return path


def copy(source, target):
    """covalent_dispatcher/_dal/utils/file_transfer.py, cp."""
    _, transfer = FileTransfer(source, target).cp()
    transfer()


def reference(uri):
    """Return the object that a download URI names."""
    return Reference(**json.loads(base64.urlsafe_b64decode(uri.rpartition("/")[2]))["object"])


def loaded(path):
    """Return what an archive holds, as a pod reads it."""
    return TransportableObject.deserialize(path.read_bytes()).get_deserialized()
