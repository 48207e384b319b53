extension ServiceEntrySpec {
    /// Whether a host of the entry is given a virtual address: it names none, and is one name that stands for endpoints.
    /// With resolution `NONE` the client goes to the host's real address.
    package func allocatesAddress(for host: String) -> Bool {
        addresses.isEmpty && resolution != .none && !host.hasPrefix("*")
    }
}
