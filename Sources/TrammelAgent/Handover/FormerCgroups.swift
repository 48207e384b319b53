import CTrammelLinux
import Foundation
import Glibc
import TrammelCapture

/// The cgroups that agents before this one lived in, kept with the service manager beside the listeners that bear them.
enum FormerCgroups {
    private static let file = "i"

    /// - Parameter inherited: what is of something else is left there.
    static func take(from inherited: inout [(name: String, descriptor: CInt)]) -> Set<UInt64> {
        var found: Set<UInt64> = []
        for (_, descriptor) in inherited.filter({ $0.name == file }) {
            let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
            try? handle.seek(toOffset: 0)
            let text = String(decoding: (try? handle.readToEnd()) ?? Data(), as: UTF8.self)
            found.formUnion(text.split(separator: "\n").compactMap { UInt64($0) })
        }
        inherited.removeAll { $0.name == file }
        return found
    }

    /// With this agent's own.
    static func keep(_ cgroup: AgentCgroup, in store: DescriptorStore) {
        let text = Array(cgroup.ids.sorted().map { "\($0)\n" }.joined().utf8)
        let memory = trammel_memory_file(text, text.count)
        guard memory >= 0 else { return }
        defer { close(memory) }
        store.drop(file)
        store.keep([memory], as: file)
    }
}
