// SPDX-License-Identifier: Apache-2.0

package faulty

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// The requests of a multipart upload. S3 has all of them, Azure the second and the third.
const (
	opCreate   = "CREATE"
	opPart     = "PART"
	opComplete = "COMPLETE"
	opAbort    = "ABORT"
)

func (s *Store) createUpload(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := "upload-" + strconv.Itoa(len(s.requests))
	s.uploads[id] = http.Header{}
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-Amz-Meta-") {
			s.uploads[id][name] = values
		}
	}
	_, _ = fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
}

func (s *Store) putPart(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client closed the connection
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	query := r.URL.Query()
	if id := query.Get("uploadId"); id != "" {
		if _, ok := s.uploads[id]; !ok {
			noSuchUpload(w)
			return
		}
		s.parts[id+"/"+query.Get("partNumber")] = data
	} else {
		s.parts[r.URL.Path+"/"+query.Get("blockid")] = data
	}
	sum := sha256.Sum256(data)
	w.Header().Set("Etag", `"`+hex.EncodeToString(sum[:8])+`"`)
	if query.Has("blockid") {
		w.WriteHeader(http.StatusCreated)
	}
}

// complete is of both: S3 lists numbers, Azure names.
func (s *Store) complete(w http.ResponseWriter, r *http.Request) {
	var list struct {
		Part   []struct{ PartNumber string }
		Latest []string
	}
	if err := xml.NewDecoder(r.Body).Decode(&list); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id := r.URL.Query().Get("uploadId")
	metadata, known := s.uploads[id]
	if id != "" && !known {
		noSuchUpload(w)
		return
	}
	var whole []byte
	for _, part := range list.Part {
		whole = append(whole, s.parts[id+"/"+part.PartNumber]...)
	}
	for _, name := range list.Latest {
		whole = append(whole, s.parts[r.URL.Path+"/"+name]...)
	}
	delete(s.uploads, id)
	s.objects[r.URL.Path] = object{data: whole, metadata: metadata}
	if id == "" {
		w.WriteHeader(http.StatusCreated)
		return
	}
	_, _ = io.WriteString(w, "<CompleteMultipartUploadResult/>")
}

func (s *Store) abort(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	upload := r.URL.Query().Get("uploadId")
	if upload == "" {
		s.remove(w, r.URL.Path)
		return
	}
	delete(s.uploads, upload)
	w.WriteHeader(http.StatusNoContent)
}

// remove deletes an object; the caller holds the lock.
func (s *Store) remove(w http.ResponseWriter, path string) {
	if _, ok := s.objects[path]; !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	delete(s.objects, path)
	// Azure's client accepts no other code of success.
	w.WriteHeader(http.StatusAccepted)
}

func noSuchUpload(w http.ResponseWriter) {
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, "<Error><Code>NoSuchUpload</Code><Message>The upload does not exist.</Message></Error>")
}
