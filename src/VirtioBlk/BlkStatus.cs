namespace VirtioBlk;

/// <summary>The status byte of a request (virtio 1.2 §5.2.6).</summary>
internal enum BlkStatus : byte
{
    /// <summary>VIRTIO_BLK_S_OK.</summary>
    Ok = 0,

    /// <summary>VIRTIO_BLK_S_IOERR: the device or the driver made a mistake.</summary>
    IoError = 1,

    /// <summary>VIRTIO_BLK_S_UNSUPP: the device does not do that.</summary>
    Unsupported = 2,
}
