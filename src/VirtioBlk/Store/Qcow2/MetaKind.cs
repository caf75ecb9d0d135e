namespace VirtioBlk.Store.Qcow2;

/// <summary>
/// Kinds of metadata, in the order in which they must reach the disk: each kind points only at earlier ones and at
/// data.
/// </summary>
internal enum MetaKind
{
    RefBlock,
    RefTable,
    L2,
    L1,
}
