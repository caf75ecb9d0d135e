namespace VirtioBlk.Store;

/// <summary>Who may write a layer now, whether somebody still does, and the lock that tells other processes.</summary>
/// <param name="file">The layer's file.</param>
/// <param name="state">How it was opened.</param>
internal sealed class LayerAccess(IHostFile file, LayerState state)
{
    private readonly GracePeriod _writing = new();
    private readonly Lock _locking = new();
    private volatile LayerState _state = state;
    private volatile int _frozen;
    private int _freezes;

    public LayerState State => _state;

    /// <summary>The number of the freeze whose writes have all ended; 0 while there may be writes.</summary>
    public int Frozen => _frozen;

    /// <summary>A write is under way until the result is disposed.</summary>
    /// <exception cref="DiskException">The layer takes no writes.</exception>
    public GracePeriod.Stay Write()
    {
        GracePeriod.Stay stay = _writing.Enter();
        if (_state.TakesWrites()) return stay;
        stay.Dispose();
        throw new DiskException(file.Path, _state == LayerState.Frozen ? "is frozen" : "is open for reading only");
    }

    /// <summary>No write begins from now on, and those that had begun have ended.</summary>
    public void Freeze()
    {
        bool isNew = _state.TakesWrites();
        _state = _state.Freeze();
        _writing.Wait();
        if (isNew) _frozen = ++_freezes;
    }

    /// <summary>The file has everything: of a frozen layer others may read it now.</summary>
    /// <param name="frozen">
    /// What <see cref="Frozen"/> was when the flush began. One that began earlier need not have written what came since.
    /// </param>
    public void Share(int frozen)
    {
        lock (_locking)
        {
            if (frozen != 0 && frozen == _frozen) file.Lock(DiskLock.Shared);
        }
    }

    /// <summary>Takes writes again, locked for this use alone.</summary>
    /// <param name="check">What must succeed once the file is writable and locked.</param>
    public void Thaw(Action? check = null)
    {
        lock (_locking)
        {
            file.MakeWritable();
            file.Lock(DiskLock.Exclusive);
            try
            {
                check?.Invoke();
            }
            catch
            {
                file.Lock(DiskLock.Shared);
                throw;
            }

            _frozen = 0;
            _state = LayerState.Thawed;
        }
    }
}
