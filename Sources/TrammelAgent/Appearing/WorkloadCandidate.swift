import Glibc
import TrammelCapture
import TrammelConfig
import TrammelControlAPI
import TrammelCore

/// One workload that a Workload resource asks for, as it is at a look: there, or not there yet.
struct WorkloadCandidate: Sendable {
    let resource: ResourceKey
    let location: SourceLocation
    let request: AttachRequest
    let ports: [String: UInt16]
    let whereabouts: Whereabouts

    enum Whereabouts: Sendable, Equatable {
        case there(CaptureIdentity)
        /// It will be attached when it appears; why it is not there, in a sentence.
        case awaited(String)
        /// It cannot be asked for in this way.
        case impossible(String)
    }

    var name: WorkloadName { WorkloadName(namespace: request.namespace, name: request.name) }
    var declared: DeclaredWorkload { DeclaredWorkload(resource, ports: ports) }

    /// Everything that the resources ask for, in their order, and the folders in which what fits a pattern of cgroups or
    /// units comes and goes.
    ///
    /// Off the caller's actor: it makes four system calls for each namespace.
    @concurrent static func find(
        _ resources: [Resource], by finder: TargetFinder
    ) async -> (candidates: [WorkloadCandidate], folders: Set<String>) {
        finder.units.renew(resources.compactMap(\.attachedUnit))
        let surroundings = Surroundings(finder: finder)
        let candidates = resources.flatMap { resource -> [WorkloadCandidate] in
            guard case .workload(let spec) = resource.spec else { return [] }
            guard let pattern = TargetPattern(spec.target) else {
                return [WorkloadCandidate(resource, spec, named: resource.key.name, at: spec.target, by: finder)]
            }
            let fitting = surroundings.fitting(pattern)
            guard !fitting.isEmpty else {
                return [WorkloadCandidate(resource, spec, awaited: pattern.nothingFits, at: spec.target)]
            }
            return fitting.map { WorkloadCandidate(resource, spec, named: $0.name, at: $0.target, by: finder) }
        }
        return (candidates, surroundings.folders)
    }

    private init(
        _ resource: Resource, _ spec: WorkloadSpec, named name: String, at target: WorkloadSpec.Target,
        by finder: TargetFinder
    ) {
        self.resource = resource.key
        location = resource.location
        ports = spec.ports
        request = spec.request(named: name, in: resource.key.namespace, at: target)
        do {
            try request.check()
            let found = try finder.look(request, asking: false)
            if case .absent(let error) = found.state { throw error }
            whereabouts = .there(found.identity)
        } catch let error as TrammelError {
            // A file below /run/netns is there a moment before the namespace is mounted on it.
            let isAwaited = error.kind == .notFound || error.code == "netns-wrong-type"
            whereabouts = isAwaited ? .awaited(error.message) : .impossible("\(error)")
        } catch {
            whereabouts = .impossible("\(error)")
        }
    }

    private init(_ resource: Resource, _ spec: WorkloadSpec, awaited reason: String, at target: WorkloadSpec.Target) {
        self.resource = resource.key
        location = resource.location
        ports = spec.ports
        request = spec.request(named: resource.key.name, in: resource.key.namespace, at: target)
        whereabouts = .awaited(reason)
    }
}

extension WorkloadSpec {
    /// What `trammel attach` would be asked.
    func request(named name: String, in namespace: String, at target: Target) -> AttachRequest {
        var request = AttachRequest(
            name: name, namespace: namespace, serviceAccount: serviceAccount, labels: labels,
            failureMode: failsOpen ? .open : .closed,
            captureMode: captureMode.flatMap { AttachRequest.CaptureChoice(rawValue: $0) } ?? .auto, scope: scope)
        switch target {
        case .netns(let netns): request.netns = netns
        case .pid(let pid): request.pid = pid
        case .unit(let unit): request.unit = unit
        case .cgroup(let cgroup): request.cgroup = cgroup
        case .uid(let uid): request.uid = uid
        }
        return request
    }

    /// Whether the resource would have asked for this attachment, wherever its namespace is now.
    func asked(for asked: AttachRequest, resource: ResourceKey) -> Bool {
        var request = asked
        request.killExisting = false
        if let pattern = TargetPattern(target) {
            guard let named = pattern.named(asked) else { return false }
            return request == self.request(named: named.name, in: resource.namespace, at: named.target)
        }
        return request == self.request(named: resource.name, in: resource.namespace, at: target)
    }
}

extension Resource {
    /// The unit that a Workload is about.
    fileprivate var attachedUnit: UnitName? {
        guard case .workload(let spec) = self.spec, case .unit(let text) = spec.target,
            TargetPattern(spec.target) == nil
        else { return nil }
        return try? UnitName(text)
    }
}
