-- Sends the images of a study to scnas-deploy once nothing more arrives for it ("StableAge" seconds).
--
-- OnStableStudy is called again when our own results arrive, so only series of images are sent, and each only when it
-- has other images than it was last sent with: metadata 4242 holds their number. Orthanc neither repeats a transfer
-- that failed nor calls OnStableStudy for what was received before it was killed; the server's own [[reconcile]] asks
-- for such studies.

local MODALITIES = { CT = true, MR = true, PT = true }
local SENT = '4242'

function OnStableStudy(studyId, tags, metadata)
  local due = {}
  for _, seriesId in ipairs(ParseJson(RestApiGet('/studies/' .. studyId))['Series']) do
    local series = ParseJson(RestApiGet('/series/' .. seriesId))
    local known = ParseJson(RestApiGet('/series/' .. seriesId .. '/metadata?expand'))
    local images = tostring(#series['Instances'])
    if MODALITIES[series['MainDicomTags']['Modality']] and known[SENT] ~= images then
      RestApiPut('/series/' .. seriesId .. '/metadata/' .. SENT, images)
      table.insert(due, seriesId)
    end
  end
  if #due > 0 then
    RestApiPost('/modalities/scnas/store', DumpJson({ Resources = due, Synchronous = false }))
  end
end
