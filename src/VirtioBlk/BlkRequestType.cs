namespace VirtioBlk;

/// <summary>What a request asks for (virtio 1.2 §5.2.6, VIRTIO_BLK_T_*).</summary>
internal enum BlkRequestType : uint
{
    /// <summary>Read.</summary>
    In = 0,

    /// <summary>Write.</summary>
    Out = 1,

    /// <summary>Flush the write-back cache.</summary>
    Flush = 4,

    /// <summary>The device's serial.</summary>
    GetId = 8,

    /// <summary>Give ranges back.</summary>
    Discard = 11,

    /// <summary>Zero ranges.</summary>
    WriteZeroes = 13,
}
