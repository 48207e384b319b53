import TrammelConfig

/// The resources by kind, each kind in the order of its keys, so that what is compiled depends on nothing else.
struct SortedResources {
    var services: [(resource: Resource, spec: ServiceSpec)] = []
    var destinationRules: [DestinationRules.Rule] = []
    var virtualServices: [(resource: Resource, spec: VirtualServiceSpec)] = []
    var outboundTrafficPolicy = MeshConfigSpec.OutboundTrafficPolicy.allowAny
    var meshConfig: ResourceReference?

    init(_ resources: some Sequence<Resource>) {
        for resource in resources.sorted(by: { $0.key < $1.key }) {
            let reference = ResourceReference(key: resource.key, location: resource.location)
            switch resource.spec {
            case .service(let spec): services.append((resource, spec))
            case .virtualService(let spec): virtualServices.append((resource, spec))
            case .meshConfig(let spec):
                outboundTrafficPolicy = spec.outboundTrafficPolicy
                meshConfig = reference
            case .destinationRule(let spec):
                destinationRules.append(DestinationRules.Rule(reference: reference, spec: spec))
            }
        }
    }
}
