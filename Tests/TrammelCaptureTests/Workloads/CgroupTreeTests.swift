import Glibc
import Testing
import TrammelCore

@testable import TrammelCapture

/// Directories are all that it looks at, so any will do.
@Suite("The tree of cgroups")
struct CgroupTreeTests {
    /// A tree of a test's own, removed with the value.
    private final class Folder {
        let path: String

        init(_ folders: [String]) throws {
            var template = Array("/tmp/trammel-cgroups-XXXXXX".utf8CString)
            try #require(mkdtemp(&template) != nil)
            path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
            for folder in folders { try #require(mkdir(path + folder, 0o755) == 0) }
        }

        deinit { CgroupTreeTests.remove(path) }
    }

    private static func remove(_ folder: String) {
        for name in FileNames.list(in: folder) { remove("\(folder)/\(name)") }
        if rmdir(folder) != 0 { unlink(folder) }
    }

    @Test("a cgroup is found with its level, and is another when it is made anew")
    func finding() throws {
        let folder = try Folder(["/shop.slice", "/shop.slice/web.service"])
        let tree = CgroupTree(mount: folder.path)
        let found = try #require(tree.find("/shop.slice/web.service"))
        #expect(found.path == "/shop.slice/web.service" && found.level == 2)
        #expect(try #require(tree.find("/shop.slice")).id != found.id)
        #expect(found.isWithin("/shop.slice") && found.isWithin("/") && found.isWithin("/shop.slice/web.service"))
        #expect(!found.isWithin("/shop.slice/web") && !found.isWithin("/shop.slice/web.service/x"))
        rmdir(folder.path + "/shop.slice/web.service")
        #expect(tree.find("/shop.slice/web.service") == nil)
        #expect(tree.children(of: "/") == ["shop.slice"])
    }

    @Test("what is to come is watched for where there is something to watch")
    func watching() throws {
        let folder = try Folder(["/shop.slice", "/shop.slice/web.service"])
        let tree = CgroupTree(mount: folder.path)
        #expect(
            tree.foldersAbove(["/shop.slice/web.service", "/shop.slice/none.service", "/shop.slice"]) == [
                folder.path + "/shop.slice", folder.path,
            ])
        #expect(tree.foldersAbove(["/none.slice/none-a.slice/a.service"]) == [folder.path])
        #expect(tree.foldersAbove([]).isEmpty)
    }
}

@Suite("The sockets of a process")
struct ProcessSocketsTests {
    @Test("addresses are read as /proc writes them, in the machine's own byte order")
    func addresses() {
        #expect(ProcessSockets.endpoint("0100007F:1F90") == IPEndpoint(.loopbackV4, 8080))
        #expect(ProcessSockets.endpoint("00000000000000000000000001000000:0050") == IPEndpoint(.loopbackV6, 80))
        for wrong in ["", "0100007F", "0100007F:", "01007F:1F90", "xx00007F:1F90", "0100007F:1F90:1"] {
            #expect(ProcessSockets.endpoint(Substring(wrong)) == nil, "\(wrong)")
        }
    }

    @Test("what this very process listens on is found, and is nobody else's")
    func own() throws {
        let listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port = try withUnsafeMutablePointer(to: &address) {
            try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
                try #require(bind(listener, name, length) == 0 && listen(listener, 1) == 0)
                try #require(getsockname(listener, name, &length) == 0)
            }
            return UInt16(bigEndian: $0.pointee.sin_port)
        }
        #expect(ProcessSockets.find(of: [getpid()]).listening.contains(port))
        #expect(!ProcessSockets.find(of: [1]).listening.contains(port))
    }
}
