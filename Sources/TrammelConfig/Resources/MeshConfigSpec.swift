/// `trammel.dev/v1 MeshConfig`: settings of the whole mesh.
package struct MeshConfigSpec: Sendable, Equatable {
    package var outboundTrafficPolicy: OutboundTrafficPolicy

    /// What becomes of a connection to somewhere that no service declares.
    package enum OutboundTrafficPolicy: String, Sendable {
        case allowAny = "ALLOW_ANY"
        case registryOnly = "REGISTRY_ONLY"
    }

    package init(outboundTrafficPolicy: OutboundTrafficPolicy = .allowAny) {
        self.outboundTrafficPolicy = outboundTrafficPolicy
    }
}
