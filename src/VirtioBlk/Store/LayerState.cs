namespace VirtioBlk.Store;

/// <summary>Who may write a layer now.</summary>
internal enum LayerState
{
    /// <summary>Opened for reading.</summary>
    ReadOnly,
    /// <summary>The guest writes it.</summary>
    Writable,
    /// <summary>Written once, never again by the guest; memory may still hold what the file lacks.</summary>
    Frozen,
    /// <summary>A merge writes it, and only where the layer above hides it.</summary>
    Thawed,
}

/// <summary>The rules of <see cref="LayerState"/>.</summary>
internal static class LayerStates
{
    public static bool TakesWrites(this LayerState state) => state is LayerState.Writable or LayerState.Thawed;

    public static LayerState Freeze(this LayerState state) => state.TakesWrites() ? LayerState.Frozen : state;
}
