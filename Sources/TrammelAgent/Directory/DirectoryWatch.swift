/// Has Mesh look at the configuration directory whenever something in it has changed and come to rest.
struct DirectoryWatch: Sendable {
    let mesh: Mesh
    let directory: String

    /// Until the task is cancelled.
    func run() async {
        let watch = FolderWatch(directory)
        // What changed between the first reading and the watch.
        await mesh.lookAtDirectory()
        for await _ in watch.changes { await mesh.lookAtDirectory() }
    }
}
