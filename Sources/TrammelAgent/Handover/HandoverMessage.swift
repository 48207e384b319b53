import TrammelCapture
import TrammelCore
import TrammelProxy

/// What an agent that makes room and the one that takes its place say to each other, in this order:
///
///     old                                   new
///     hello, with the lock
///     sockets …, with listeners
///     state
///                                           restored   every workload is attached; nothing is accepted yet
///     proceed                                          the port of the metrics is free
///                                           serving    the control API is its
///     done                                             the service manager knows; accepts no more
///     connection …, with sockets                       as each comes to a point where it can be moved
///     end
///
/// Up to `serving` the new one may say `failed` instead, or go without a word, and the old one goes on as before.
enum HandoverMessage: Codable, Sendable {
    case hello(Hello)
    case sockets
    case state(KnownState)
    case restored(version: String)
    case proceed
    case serving
    case done
    case failed(String)
    case connection(CarriedConnection)
    case end

    /// The first word, which every version reads.
    struct Hello: Codable, Sendable {
        /// Of all that follows. A number that is not known here is refused; what is added under one is optional.
        var format = HandoverMessage.format
        var version: String
    }

    static let format = 1

    /// What the one that takes over could not find out by itself.
    struct KnownState: Codable, Sendable {
        var workloads: [KnownWorkload]
        /// The cgroups that its sockets may bear, see `FormerCgroups`.
        var cgroups: [UInt64]?
    }

    struct KnownWorkload: Codable, Sendable {
        let namespace: String
        let name: String
        let id: UInt32
        /// Connections that go past the rules because they are older: both ends of each.
        let established: [Tuple]

        struct Tuple: Codable, Sendable {
            let source: String
            let destination: String
        }
    }
}

extension HandoverMessage.KnownWorkload.Tuple {
    init(_ tuple: ConntrackEntry.Tuple) {
        source = "\(tuple.source)"
        destination = "\(tuple.destination)"
    }

    /// Nil for what is no such thing.
    var tuple: ConntrackEntry.Tuple? {
        guard let source = IPEndpoint(source), let destination = IPEndpoint(destination) else { return nil }
        return ConntrackEntry.Tuple(source: source, destination: destination)
    }
}
