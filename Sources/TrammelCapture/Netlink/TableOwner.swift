import Synchronization
import TrammelCore

/// Holds the netlink socket that owns tables of one network namespace (`flags owner`, NFT_TABLE_F_OWNER).
///
/// The kernel removes such a table when the socket is closed, which is when this is let go of or the process ends in
/// whatever way: so does traffic go straight to where it was going while the agent is dead. As long as it lives, nobody
/// else can change or remove the table; a flush of the ruleset passes it by.
///
/// The socket keeps the namespace alive, as a listener does: it goes with the attachment. Every change of an owned
/// table has to go through its owner.
final class TableOwner: Sendable {
    private let nft: Mutex<NftSocket>

    /// In the network namespace that the calling thread is in: the owner that an agent before has passed on, or a new one.
    init(_ kept: KeptSockets) throws {
        var socket = try kept.takeOwner().map(NftSocket.init(owner:)) ?? NftSocket(closesAtOnce: true)
        socket.socket.rest()
        nft = Mutex(socket)
    }

    /// Puts the table in place of whatever bears its name, in one transaction: one that is not `isOwned` is everybody's
    /// from then on.
    func replace(_ table: NftTable) throws {
        try nft.withLock { nft in
            defer { nft.socket.rest() }
            try nft.replace(table)
        }
    }

    /// The same, sending only what differs from `installed` where the kernel holds that and it can be changed so.
    func put(_ table: NftTable, over installed: NftTable?) throws {
        try nft.withLock { nft in
            defer { nft.socket.rest() }
            if let installed, try nft.update(from: installed, to: table) { return }
            try nft.replace(table)
        }
    }

    /// The socket, for as long as this lives, for whoever passes it on.
    var descriptor: CInt { nft.withLock { $0.socket.descriptor } }

    /// Removes the table; one that is not there is no error.
    func remove(tableNamed name: String) throws {
        try nft.withLock { nft in
            defer { nft.socket.rest() }
            try nft.remove(tableNamed: name)
        }
    }
}
