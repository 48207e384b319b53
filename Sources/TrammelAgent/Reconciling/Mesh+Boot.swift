import TrammelCore

extension AttachmentMemory {
    /// Whether what it is about can be there again after the machine has started anew: a network namespace that has a
    /// name, and that no Workload resource waits for anyhow.
    var outlivesBoot: Bool {
        guard declared == nil, let netns = request.netns else { return false }
        return !netns.hasPrefix("/proc/")
    }
}

extension Mesh {
    /// The machine has started anew: no namespace is the one it was, and whoever makes them makes them by the same names.
    /// The workload is attached as soon as its name is there.
    func awaitAfterBoot(_ memory: AttachmentMemory) async {
        let name = memory.request.identity.name
        absent[name] = AbsentWorkload(
            memory: memory, reason: "the machine has started anew, and its network namespace is not there yet",
            since: .now())
        logger.about(name).notice(
            "\(name) waits: the machine has started anew, and its network namespace is not there yet")
    }
}
