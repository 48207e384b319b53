import TrammelConfig

/// The resources by kind. Services come in the order of their keys, so that what is compiled does not depend on when
/// they came; where two resources say something about one host the older holds, so the others stay oldest first.
struct SortedResources {
    var services: [(resource: Resource, spec: ServiceSpec)] = []
    var destinationRules: [DestinationRules.Rule] = []
    var virtualServices: [(resource: Resource, spec: VirtualServiceSpec)] = []
    var outboundTrafficPolicy = MeshConfigSpec.OutboundTrafficPolicy.allowAny
    var meshConfig: ResourceReference?

    /// - Parameter resources: the oldest first.
    init(_ resources: some Sequence<Resource>) {
        for resource in resources {
            let reference = ResourceReference(key: resource.key, location: resource.location)
            switch resource.spec {
            case .service(let spec): services.append((resource, spec))
            case .virtualService(let spec): virtualServices.append((resource, spec))
            case .serviceEntry, .workloadEntry, .endpointSlice, .workload: break
            case .meshConfig(let spec):
                outboundTrafficPolicy = spec.outboundTrafficPolicy
                meshConfig = reference
            case .destinationRule(let spec):
                destinationRules.append(DestinationRules.Rule(reference: reference, spec: spec))
            }
        }
        services.sort { $0.resource.key < $1.resource.key }
    }
}
