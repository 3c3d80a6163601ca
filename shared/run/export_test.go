package run

// Processors is how many processors a service uses.
var Processors = processors
