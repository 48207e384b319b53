extension ResourceKey {
    /// Who owns the virtual addresses of one of a ServiceEntry's hosts: the host, so that it keeps them whatever the
    /// resource is called.
    package func owner(ofHost host: String) -> ResourceKey { ResourceKey(kind: kind, namespace: namespace, name: host) }
}

extension ServiceEntrySpec {
    /// Whether a host of the entry is given a virtual address: it names none, and is one name that stands for endpoints.
    /// With resolution `NONE` the client goes to the host's real address.
    package func allocatesAddress(for host: String) -> Bool {
        addresses.isEmpty && resolution != .none && !host.hasPrefix("*")
    }
}
