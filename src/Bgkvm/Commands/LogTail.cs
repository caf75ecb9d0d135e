namespace Bgkvm.Commands;

/// <summary>A growing file, read from where the last reading ended. A file that has become shorter is a new one.</summary>
internal sealed class LogTail(string path)
{
    private long _position;

    /// <summary>Copies what is new. A file that does not exist yet is empty.</summary>
    public void CopyTo(Stream output)
    {
        try
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            if (file.Length < _position) _position = 0;
            file.Position = _position;
            file.CopyTo(output);
            output.Flush();
            _position = file.Position;
        }
        catch (FileNotFoundException)
        {
            _position = 0;
        }
    }

    /// <summary>Goes on until the directory is gone or nobody reads <paramref name="output"/> any more.</summary>
    public void Follow(Stream output)
    {
        using AutoResetEvent changed = new(false);
        using FileSystemWatcher watcher = new(Path.GetDirectoryName(path)!, Path.GetFileName(path));
        watcher.Changed += (_, _) => changed.Set();
        watcher.Created += (_, _) => changed.Set();
        watcher.Error += (_, _) => changed.Set();
        watcher.EnableRaisingEvents = true;
        do CopyTo(output); // what came between the first reading and the watch
        while (changed.WaitOne() && Directory.Exists(Path.GetDirectoryName(path)));
    }
}
