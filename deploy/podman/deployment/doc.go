// Package deployment is what `make up` and its neighbours do: it makes the keys once, renders the configuration of
// servers and services from one small file, builds the images, and brings the containers from whatever state they are
// in to the one wanted, one after the other, so that no login fails on the way.
package deployment
