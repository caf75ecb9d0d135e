namespace Cloning.Disks;

/// <summary>
/// Whether the manifest on disk is durable, for a guest's FLUSH: from the commit until that is known it waits. Where the host could
/// not make the manifest durable, FLUSH fails until a later attempt has worked, and no layer may be deleted.
/// </summary>
internal sealed class CommitState : IDisposable
{
    private readonly ManualResetEventSlim _known = new(true);
    private volatile bool _failed;

    /// <summary>Whether the host could not make it durable.</summary>
    public bool HasFailed => _failed;

    /// <summary>It is about to be replaced. Called inside a pause.</summary>
    public void Reset() => _known.Reset();

    /// <summary>It is durable.</summary>
    public void Set()
    {
        _failed = false;
        _known.Set();
    }

    /// <summary>The host could not make it durable.</summary>
    public void Fail()
    {
        _failed = true;
        _known.Set();
    }

    /// <summary>Returns when it is durable.</summary>
    /// <exception cref="IOException">It is not, and nobody is about to make it so.</exception>
    public void Wait()
    {
        _known.Wait();
        if (_failed) throw new IOException("the manifest of the disks is not durable: the host could not sync its folder");
    }

    /// <inheritdoc/>
    public void Dispose() => _known.Dispose();
}
